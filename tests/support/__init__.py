"""What the folders of tests have in common, a module for each subject; what one alone needs stays there."""
