"""The command line, `python -m local.cli`: what the page does, from a terminal, through the API alone.

`program` reads the arguments and says how errors end; each other module adds the commands of one concept.
"""
