"""Instruments, one module for each place where what they are told can go."""
