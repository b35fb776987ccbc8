"""Where a response lives: fsaverage5, voxel spaces, atlases, regions and patches of the mesh."""
