"""The commands of ``avae``: a module each, with one public function whose docstring is the command's help."""
