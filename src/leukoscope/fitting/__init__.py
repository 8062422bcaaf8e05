"""What every fit needs: optimisers, schedules, step checkpoints, the machine it runs on."""
