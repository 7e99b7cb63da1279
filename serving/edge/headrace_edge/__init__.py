"""The runner of a bundle: windows and model on a device, with numpy, ONNX Runtime and Python's own library alone.

``headrace export-edge`` copies this folder into a bundle as it is. So its modules import one another relatively, and nothing else
of Headrace. The rules of windows are those of docs/windows.md; each module names the ones that it keeps.
"""
