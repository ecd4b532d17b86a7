"""What of this machine and this installation would be slow or fail, each with its remedy."""
