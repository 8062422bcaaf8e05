"""Arrays in, numbers out: scores, their intervals, and paired comparisons of arms."""
