"""The child that trains: data sets, augmentation and the one training loop. The controller never imports it."""
