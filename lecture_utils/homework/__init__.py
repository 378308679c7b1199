"""Homework for a whole class: release, collect, grade, give back, thin over nbgrader's own.

    course      the folders, the gradebook's address, nbgrader's settings: where everything is
    cli         `lecture homework VERB`, and the table of verbs
    release     students' notebooks and zips, refused by name if a solution would be left in them
    collect     a learning platform's export, sorted into one folder per student
    archives    what lies in a folder or a zip of strangers, read without trusting it
    naming      whose submission it is, by the path a platform gave it

Nothing here is imported by the notebooks, and a student needs none of it.
"""
