"""Responses from outside, and back out: arrays and the files that the field exchanges.

================  ==================================================================================
`files`           `read_response`, `write_response`: which suffix is which format
`arrays`          .npy and .npz, and any array: the order of the hemispheres is stated or refused
`surfaces`        GIFTI, CIFTI-2 and nilearn's SurfaceImage
`volumes`         NIfTI: voxels that know their place in a volume
`labels`          what the formats cannot hold, in a JSON file beside them
`rows`            responses in rows: timelines, times, means, the hemodynamic offset
================  ==================================================================================
"""
