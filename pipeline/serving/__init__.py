"""A service on this machine for viewers: 3D Slicer and OHIF segment, correct and save labels.

It speaks the protocol of MONAI Label's plug-ins, and is not MONAI Label.
"""
