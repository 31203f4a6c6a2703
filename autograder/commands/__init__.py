"""The commands of the ``course`` program, by what they are about; ``autograder/cli.py`` brings them together."""
