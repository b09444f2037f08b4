"""Payments: the port to processors, its adapters, and what we keep of each payment, refund, method and consent."""
