"""Share a trained bundle: pack, sign, audit, receive, export."""
