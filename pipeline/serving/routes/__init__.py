"""The calls of MONAI Label's plug-ins, a module for each part of the protocol."""
