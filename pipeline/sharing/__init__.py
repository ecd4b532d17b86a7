"""Handing a trained bundle on: pack, sign, audit, receive, export."""
