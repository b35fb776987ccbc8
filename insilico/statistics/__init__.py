"""Statistics: responses and scores -> estimates, with interval, null and n."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "statistics",
    {
        "encoding_accuracy": "insilico.statistics.accuracy:EncodingAccuracy",
        "paired": "insilico.statistics.paired:Paired",
        "multilabel_auc": "insilico.statistics.multilabel:MultilabelAuc",
        "crossing": "insilico.statistics.crossing:Crossing",
        "dose_response": "insilico.statistics.curves:DoseResponse",
        "discriminability": "insilico.statistics.discriminability:Discriminability",
        "levels": "insilico.statistics.levels:Levels",
        "encoding_gap": "insilico.statistics.gains:EncodingGap",
        "scaling": "insilico.statistics.scaling:Scaling",
        "two_by_two": "insilico.statistics.scaling:TwoByTwo",
        "mixed": "insilico.statistics.mixed:Mixed",
        "interaction": "insilico.statistics.interaction:Interaction",
        "shapley": "insilico.statistics.shapley:Shapley",
        "prevalence": "insilico.statistics.prevalence:Prevalence",
        "stability": "insilico.statistics.stability:Stability",
        "explained_variance": "insilico.statistics.explained:ExplainedVariance",
        "split_half": "insilico.statistics.halves:SplitHalf",
        "cross_subject": "insilico.statistics.subjects:CrossSubject",
        "draw_reliability": "insilico.statistics.draws:DrawReliability",
        "map_correlation": "insilico.statistics.map_correlation:MapCorrelation",
        "vertex_map": "insilico.statistics.vertex_map:VertexMap",
        "sweep": "insilico.statistics.sweep:Sweep",
        "noise_ceiling": "insilico.statistics.noise_ceiling:NoiseCeiling",
        "optimal": "insilico.statistics.optimal:Optimal",
        "cycle": "insilico.statistics.cycle:Cycle",
        "zero_shot": "insilico.statistics.zero_shot:ZeroShot",
        "region_weights": "insilico.statistics.region_weights:RegionWeights",
        "region_words": "insilico.statistics.region_words:RegionWords",
        "voxelwise_accuracy": "insilico.statistics.voxelwise:VoxelwiseAccuracy",
    },
)
