"""Translation of real text: quality, speed, and what each choice of the recipe is worth."""
