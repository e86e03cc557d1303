"""The health of any ``nn.Module``, seen through its forward pass; a cohort's own is in ``health.units``."""
