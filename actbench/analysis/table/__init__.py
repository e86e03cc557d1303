"""From stored runs to rows and differences; judged in ``judgements``, rendered in ``reports``."""
