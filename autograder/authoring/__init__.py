"""From the sources of notebooks to what students get: building, releasing, publishing."""
