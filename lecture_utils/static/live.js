// Shows the frames of a LiveFigure and sends back what the pointer does.
// One closure a model: the picture lives in `back`, every view is a copy of it.
export default () => {
  const back = document.createElement("canvas");
  const views = new Set();
  let queue = Promise.resolve();

  function decode(bytes) {
    return createImageBitmap(new Blob([bytes], { type: "image/png" }));
  }

  // Frames are rectangles over the last picture, so they are drawn in the order they came.
  // Decoding runs ahead; the canvas keeps the old picture until the new one is there.
  function show(bytes, place, after) {
    const bitmap = bytes ? decode(bytes) : null;
    queue = queue
      .then(async () => {
        const image = bitmap && (await bitmap);
        if (image) {
          const width = place.width || image.width;
          const height = place.height || image.height;
          if (back.width !== width || back.height !== height) {
            back.width = width;
            back.height = height;
          }
          const context = back.getContext("2d");
          context.clearRect(place.x, place.y, image.width, image.height);
          context.drawImage(image, place.x, place.y);
          for (const view of views) view.paint(place.x, place.y, image.width, image.height);
        } else {
          for (const view of views) view.paint(0, 0, 0, 0);
        }
        if (after) after();
      })
      .catch((error) => console.error("lecture_utils: a frame was not drawn", error));
  }

  function initialize({ model }) {
    const whole = () => {
      const view = model.get("_frame");
      if (view && view.byteLength) show(view, { x: 0, y: 0 });
    };
    model.on("change:_frame", whole);
    model.on("msg:custom", (message, buffers) => {
      if (message.type === "frame") {
        for (const view of views) view.describe(message.alt);
        const answer = message.answer ? () => model.send({ type: "drawn" }) : null;
        show(buffers && buffers[0], message, answer);
      } else if (message.type === "handled") {
        queue = queue.then(() => views.forEach((view) => view.handled()));
      }
    });
    whole();
  }

  function render({ model, el }) {
    const canvas = document.createElement("canvas");
    const ink = document.createElement("canvas");
    el.classList.add("lecture-figure");
    ink.className = "lecture-ink";
    canvas.setAttribute("role", "img");
    el.append(canvas, ink);
    const context = canvas.getContext("2d");
    const pen = ink.getContext("2d");
    let frames = 0;

    const [width, height] = model.get("_size");
    el.style.width = `${width}px`;
    el.style.aspectRatio = `${width} / ${height}`;
    canvas.setAttribute("aria-label", model.get("_alt"));

    const view = {
      paint(x, y, w, h) {
        if (canvas.width !== back.width || canvas.height !== back.height) {
          canvas.width = back.width;
          canvas.height = back.height;
          context.drawImage(back, 0, 0);
        } else if (w && h) {
          context.clearRect(x, y, w, h);
          context.drawImage(back, x, y, w, h, x, y, w, h);
        }
        canvas.dataset.frames = ++frames; // the pixels are in place: browser tests wait on this
      },
      describe(alt) {
        canvas.setAttribute("aria-label", alt);
      },
      handled() {
        busy = false;
        if (sentInk) {
          drawn = drawn.slice(sentInk);
          sentInk = 0;
          redrawInk();
        }
        flush();
      },
    };
    views.add(view);
    if (back.width && model.get("_frame").byteLength) view.paint(0, 0, back.width, back.height);
    // Sent by each view, so that a page opened later gets the present picture.
    model.send({ type: "hello", ratio: window.devicePixelRatio || 1 });

    // ---- pointer: one message under way at a time; of what happens meanwhile moves keep only
    // the newest position, ink keeps every point.
    let busy = false;
    let waiting = [];
    let grabbed = null;
    let hovering = null;
    let drawn = []; // ink segments shown but not yet part of a frame
    let sentInk = 0;

    function send(event, axes, point) {
      const last = waiting[waiting.length - 1];
      if (last && last.event === event && last.axes === axes) {
        if (event === "ink-move") last.points.push(point);
        else last.points = [point];
      } else {
        waiting.push({ event, axes, points: [point] });
      }
      flush();
    }
    function flush() {
      if (busy || !waiting.length) return;
      const next = waiting.shift();
      busy = true;
      if (next.event.startsWith("ink")) sentInk = next.points.length;
      model.send({ type: "pointer", ...next });
    }

    function position(event) {
      const box = canvas.getBoundingClientRect();
      const scale = width / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    }
    function hit([x, y], kinds) {
      return model
        .get("_hot")
        .find(
          (z) =>
            kinds.includes(z.kind) && x >= z.left && x <= z.right && y >= z.top && y <= z.bottom,
        );
    }

    function redrawInk() {
      const box = canvas.getBoundingClientRect();
      const ratio = window.devicePixelRatio || 1;
      const w = Math.round(box.width * ratio);
      const h = Math.round(box.height * ratio);
      if (ink.width !== w || ink.height !== h) {
        ink.width = w;
        ink.height = h;
      }
      pen.clearRect(0, 0, w, h);
      const [style] = model.get("_ink");
      if (!style || !drawn.length) return;
      const zone = model.get("_hot").find((z) => z.kind === "ink");
      const scale = w / width;
      pen.save();
      pen.beginPath();
      pen.rect(
        zone.left * scale,
        zone.top * scale,
        (zone.right - zone.left) * scale,
        (zone.bottom - zone.top) * scale,
      );
      pen.clip();
      pen.lineWidth = style.width * scale;
      pen.strokeStyle = style.colour;
      pen.lineCap = pen.lineJoin = "round";
      for (const [from, to] of drawn) {
        pen.beginPath();
        pen.moveTo(from[0] * scale, from[1] * scale);
        pen.lineTo(to[0] * scale + 0.01, to[1] * scale);
        pen.stroke();
      }
      pen.restore();
    }

    function addInk(point, from) {
      drawn.push([from || point, point]);
      redrawInk();
    }

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const at = position(event);
      const zone = hit(at, ["ink", "drag", "press"]);
      if (!zone) return;
      event.preventDefault();
      const press = hit(at, ["press"]);
      if (press) send("press", press.axes, at);
      if (zone.kind === "press") return;
      canvas.setPointerCapture(event.pointerId);
      grabbed = { ...zone, last: at };
      send(`${zone.kind}-start`, zone.axes, at);
      if (zone.kind === "ink") addInk(at);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!grabbed) {
        const at = position(event);
        const zone = hit(at, ["hover"]);
        if (hovering && (!zone || zone.axes !== hovering.axes)) send("leave", hovering.axes, at);
        hovering = zone;
        if (zone) send("hover", zone.axes, at);
        const active = hit(at, ["ink", "drag", "press", "hover"]);
        const shapes = { ink: "crosshair", drag: "grab", press: "pointer", hover: "pointer" };
        canvas.style.cursor = active ? shapes[active.kind] : "default";
        return;
      }
      // A fast hand makes several points between two events: a smooth stroke needs them all.
      const events = grabbed.kind === "ink" && event.getCoalescedEvents?.();
      for (const each of events && events.length ? events : [event]) {
        const at = position(each);
        send(`${grabbed.kind}-move`, grabbed.axes, at);
        if (grabbed.kind === "ink") addInk(at, grabbed.last);
        grabbed.last = at;
      }
    });
    const release = (event) => {
      if (!grabbed) return;
      if (grabbed.kind === "drag") send("drag-end", grabbed.axes, position(event));
      grabbed = null;
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", (event) => {
      if (hovering && !grabbed) send("leave", hovering.axes, position(event));
      if (!grabbed) hovering = null;
    });
    const touch = () => {
      const takes = model.get("_hot").some((z) => z.kind === "ink" || z.kind === "drag");
      canvas.style.touchAction = takes ? "none" : "auto"; // else a finger scrolls the page
    };
    model.on("change:_hot", touch);
    touch();

    return () => views.delete(view);
  }

  return { initialize, render };
};
