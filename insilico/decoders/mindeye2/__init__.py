"""MindEye2 (Scotti et al. 2024, https://arxiv.org/abs/2403.11207): betas -> tokens -> picture."""
