"""Homework for a whole class: release, collect, grade, give back, thin over nbgrader's own.

    course      the folders, the gradebook's address, nbgrader's settings: where everything is
    cli         `lecture homework VERB`, and the table of verbs
    release     students' notebooks and zips, refused by name if a solution would be left in them
    collect     a learning platform's export, sorted into one folder per student
    archives    what lies in a folder or a zip of strangers, read without trusting it
    naming      whose submission it is, by the path a platform gave it
    grade       all submissions of an assignment, several at a time, into the gradebook
    job         one submission: a notebook in, a JSON out
    submission  what of a notebook is run, and what had to be put right in it
    suspicion   code that a human should look at
    sandbox     the trusted side of the sandbox: starts it, asks it, never believes it
    wire        the messages between the two sides
    worker      the inside: a warm parent, a child for each submission
    confine     what a child gives up before a student's code runs
    guard       notices when that code changes what checks it
    feedback    the pages that students get back
    formgrader  nbgrader's page for points by hand
    report      tables for the screen and for spreadsheets
    demo        all of it on a made-up class
    cases       submissions of every kind, for the demo and the tests

Nothing here is imported by the notebooks, and a student needs none of it.
"""
