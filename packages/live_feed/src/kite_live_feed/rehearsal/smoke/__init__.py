"""The seeded producer: ``feed`` makes the market and its faults, ``bars`` its minute bars, ``run``
sends both through the bridge and reads them back."""
