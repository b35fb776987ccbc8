"""Make ``phantom7.npz``: seven networks from the ROI centres that nilearn ships, run once.

A vertex of the cortex takes the network of the nearest Seitzman centre (Euclidean, pial surface);
single vertices then follow the majority of their neighbours.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from insilico.spaces import fsaverage5

NETWORK_OF = {
    "Visual": 1,
    "SomatomotorDorsal": 2,
    "SomatomotorLateral": 2,
    "Auditory": 2,
    "DorsalAttention": 3,
    "VentralAttention": 4,
    "CinguloOpercular": 4,
    "Salience": 4,
    "MedialTemporalLobe": 5,
    "Reward": 5,
    "FrontoParietal": 6,
    "DefaultMode": 7,
    "ParietoMedial": 7,
}
NAMES = ("medial_wall", "Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")


def centres():
    folder = files("nilearn") / "datasets" / "data"
    lines = (folder / "seitzman_2018_ROIs_300inVol_MNI_allInfo.txt").read_text().splitlines()[1:]
    rows = [line.split() for line in lines if line.split()]
    kept = [row for row in rows if row[5] in NETWORK_OF]
    return np.array([row[:3] for row in kept], float), np.array([NETWORK_OF[r[5]] for r in kept])


def smoothed(labels, rounds=3):
    edges = (fsaverage5.neighbours() > 0).astype(float)
    for _ in range(rounds):
        votes = np.stack([edges @ (labels == k) for k in range(1, 8)], 1)
        own = votes[np.arange(len(labels)), labels - 1]
        labels = np.where(votes.max(1) > own, votes.argmax(1) + 1, labels)
    return labels


def networks():
    places, network = centres()
    labels = smoothed(network[cKDTree(places).query(fsaverage5.mesh("pial")[0])[1]])
    return np.where(fsaverage5.medial_wall(), 0, labels).astype(np.int8)


if __name__ == "__main__":
    left, right = np.split(networks(), 2)
    file = Path(__file__).with_name("phantom7.npz")
    np.savez_compressed(file, left=left, right=right, names=np.array(NAMES))
