// Shows the frames of a LiveFigure and sends back what the pointer does.
// One closure a model: the picture lives in `picture`, every view is a copy of it.
const LARGEST = 1.35;


// Keys pressed on a control belong to it: JupyterLab would take the arrows of a list and `d` `d`
// on a button. Those with Shift, Control, Alt or Command are left to it, such as Shift+Enter.
if (!window.lectureKeys) {
  window.lectureKeys = true;
  const own = (event) => {
    if (!event.target.closest?.(".lecture-panel")) return;
    const plain = !(event.shiftKey || event.ctrlKey || event.altKey || event.metaKey);
    event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
  };
  // End: noUiSlider jumps to the maximum that the slider began with. A tap at the far end of the
  // track goes to the one it has now.
  const end = (event) => {
    const track = event.target.closest?.(".lecture-panel .noUi-base");
    if (event.key !== "End" || !track) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    settled(event);
    const box = track.getBoundingClientRect();
    const [clientX, clientY] = [box.right, box.top + box.height / 2];
    const tap = { clientX, clientY, buttons: 1, bubbles: true, cancelable: true };
    track.dispatchEvent(new MouseEvent("mousedown", tap));
  };
  // noUiSlider ignores the mouse for 300 ms after a click, while its handle glides.
  const settled = (event) => {
    const slider = event.target.closest?.(".lecture-panel .noUi-target");
    slider?.classList.remove("noUi-state-tap");
  };
  window.addEventListener("pointerdown", settled, true);
  window.addEventListener("keydown", own, true); // before JupyterLab, which listens on document
  window.addEventListener("keydown", end, true);
}

export default () => {
  let picture = new ImageData(1, 1);
  const views = new Set();

  function words(view) {
    // A buffer may begin anywhere in its message; typed arrays want multiples of four.
    const from = view.byteOffset;
    return new Uint32Array(view.buffer.slice(from, from + view.byteLength));
  }

  // Unpack a change (lecture_utils.live.pack) into `picture` and paint it.
  function apply(place, buffers) {
    if (buffers.length) {
      if (picture.width !== place.width || picture.height !== place.height) {
        picture = new ImageData(place.width, place.height);
      }
      const [repeats, lengths, values] = buffers.map(words);
      const target = new Uint32Array(picture.data.buffer);
      const row = new Uint32Array(place.columns);
      let run = 0;
      let left = lengths.length ? lengths[0] : 0;
      let at = place.y * place.width + place.x;
      for (let k = 0; k < repeats.length; k++) {
        if (lengths.length) {
          for (let x = 0; x < place.columns; ) {
            const end = Math.min(x + left, place.columns);
            row.fill(values[run], x, end);
            left -= end - x;
            x = end;
            if (!left) left = lengths[++run];
          }
        } else {
          row.set(values.subarray(k * place.columns, (k + 1) * place.columns));
        }
        for (let n = 0; n < repeats[k]; n++, at += place.width) {
          for (let x = 0; x < place.columns; x++) if (row[x]) target[at + x] = row[x];
        }
      }
      const rows = repeats.reduce((sum, n) => sum + n, 0);
      for (const view of views) view.paint(place.x, place.y, place.columns, rows);
    } else {
      for (const view of views) view.paint(0, 0, 0, 0);
    }
  }

  let said = { alt: "", caption: "" };
  function say(message) {
    said = message;
    for (const view of views) view.say();
  }

  function initialize({ model }) {
    const first = () => {
      const frame = model.get("_first");
      if (!frame.buffers) return;
      apply(frame, frame.buffers);
      say(frame);
    };
    model.on("change:_first", first);
    model.on("msg:custom", (message, buffers) => {
      if (message.type === "frame") {
        apply(message, buffers || []);
        say(message);
        if (message.answer) model.send({ type: "drawn" });
      } else if (message.type === "handled") {
        views.forEach((view) => view.handled());
      }
    });
    first();
  }

  function render({ model, el }) {
    const canvas = document.createElement("canvas");
    const ink = document.createElement("canvas");
    const frame = document.createElement("div");
    const caption = document.createElement("div");
    el.classList.add("lecture-figure");
    frame.className = "lecture-frame";
    ink.className = "lecture-ink";
    caption.className = "lecture-message";
    caption.setAttribute("aria-live", "polite");
    canvas.setAttribute("role", "img");
    frame.append(canvas, ink);
    el.append(frame, caption);
    const context = canvas.getContext("2d");
    const pen = ink.getContext("2d");
    let frames = 0;

    const [width, height] = model.get("_size");
    frame.style.width = `${width}px`; // not on el: a widget's layout clears what stands there
    frame.style.aspectRatio = `${width} / ${height}`;

    const view = {
      paint(x, y, w, h) {
        if (canvas.width !== picture.width || canvas.height !== picture.height) {
          canvas.width = picture.width;
          canvas.height = picture.height;
          context.putImageData(picture, 0, 0);
        } else if (w && h) {
          context.putImageData(picture, 0, 0, x, y, w, h);
        }
        canvas.dataset.frames = ++frames; // the pixels are in place: browser tests wait on this
      },
      say() {
        canvas.setAttribute("aria-label", said.alt);
        if (caption.innerHTML !== said.caption) caption.innerHTML = said.caption;
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
    view.paint(0, 0, picture.width, picture.height);
    view.say();
    // Sent by each view, so that a page opened later gets the present picture, and again when
    // the page is zoomed or moved to another screen, so that the picture stays sharp.
    let screen;
    let scale = 1;
    function hello() {
      const ratio = window.devicePixelRatio || 1;
      screen?.removeEventListener("change", hello);
      screen = window.matchMedia(`(resolution: ${ratio}dppx)`);
      screen.addEventListener("change", hello);
      model.send({ type: "hello", ratio: ratio * scale });
    }
    hello();

    // On a projector there is room for more: the figure grows beside its controls, as long as
    // title, figure and message fit on the screen together.
    function grow() {
      const body = el.closest(".lecture-body");
      if (!body) return;
      room.observe(body);
      const em = parseFloat(getComputedStyle(body).fontSize);
      const wide = body.closest(".lecture-dense") ? 33 : 17.5; // em, see panel.css
      const aside = body.closest(".lecture-long-labels") ? 23 : wide;
      const beside = body.clientWidth - aside * em;
      const most = Math.min(beside / width, (0.62 * window.innerHeight) / height, LARGEST);
      if (!body.clientWidth || Math.abs(Math.max(most, 1) - scale) < 0.01) return;
      scale = Math.max(most, 1);
      frame.style.width = `${width * scale}px`;
      hello();
    }
    const room = new ResizeObserver(grow);
    room.observe(el);

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
      const press = hit(at, ["press"]);
      const zone = hit(at, ["ink", "drag"]); // may be the same axes
      if (!press && !zone) return;
      event.preventDefault();
      if (press) send("press", press.axes, at);
      if (!zone) return;
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

    return () => {
      views.delete(view);
      room.disconnect();
      screen.removeEventListener("change", hello);
    };
  }

  return { initialize, render };
};
