"""The tool examined: published numbers verified, costs measured, the installation looked over."""
