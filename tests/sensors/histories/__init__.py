"""Random histories of a pool, played through the emulator and the real SDKs to the gate in each of its modes.

``drawing`` draws a history from a seed; ``world`` lets it happen in simulated time and judges every look by
``truth``, which reads the emulator's own books by rules of its own; ``modes`` runs the gate as Airflow does.
"""
