"""Knowledge pages: tribal knowledge about training as checked, connected and measurable data.

Pure: pages are read, checked, connected and rendered here. What a claim comes to on a device is
measured elsewhere and given in as evidence.
"""
