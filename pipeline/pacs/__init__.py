"""From the archive (PACS) and back to it: studies are received, segmented and stored, each once."""
