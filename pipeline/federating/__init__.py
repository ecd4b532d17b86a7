"""Federated training: several sites train one model, and no image leaves its site."""
