"""The network: encoder, latent vector, decoder, pattern statistics and the loss. Tensors only."""
