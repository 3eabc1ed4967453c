"""Prices that are asked for far more often than they change, from a database that may be down.

Run it with ``python -m examples.cached_prices``, with ``trio`` behind it for Trio.
"""

from __future__ import annotations

import sys

import anyio

from anyflight import ReadThroughCache


class Database:
    """Stands for yours; it counts its queries."""

    def __init__(self) -> None:
        self.prices = {"tea": 3, "coffee": 4, "cake": 5}
        self.queries = 0
        self.is_down = False

    async def price(self, product: str) -> int:
        """Return the price of a product."""
        self.queries += 1
        found = self.prices.get(product)  # as it is when the query arrives
        await anyio.sleep(0.02)
        if self.is_down:
            raise ConnectionError("the database is down")
        if found is None:
            raise LookupError(f"there is no {product}")
        return found


class Shop:
    """Answers from the cache, which is filled by at most one query at a time for a product."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.prices = ReadThroughCache[str, int](
            ttl=1,
            stale_if_error=3600,  # an old price is better than none while the database is down
            error_ttl={LookupError: 30, ConnectionError: 5},  # and it is asked every five seconds
            name="prices",
        )

    async def price(self, product: str) -> int:
        """Return the price of a product."""
        return await self.prices.get(product, self.database.price, product)

    async def change(self, product: str, price: int) -> None:
        """Write first, then invalidate: what was read before the write is not kept after it."""
        self.database.prices[product] = price
        await self.prices.invalidate(product)


async def ask(shop: Shop, what: str, *products: str) -> None:
    """Let a hundred customers ask for each of these products at once, and tell what it cost."""
    before = shop.database.queries
    answers: dict[str, int | str] = {}

    async def customer(product: str) -> None:
        try:
            answers[product] = await shop.price(product)
        except LookupError as exc:
            answers[product] = str(exc)

    async with anyio.create_task_group() as customers:
        for product in products * 100:
            customers.start_soon(customer, product)
    told = ", ".join(f"{product}: {answers[product]}" for product in products)
    print(f"{what}: {told} ({len(products) * 100} asked, {shop.database.queries - before} queries)")


async def main() -> None:
    """Show a day of the shop."""
    shop = Shop(Database())
    async with shop.prices:
        await ask(shop, "in the morning", "tea", "coffee")
        await ask(shop, "a moment later", "tea", "coffee")
        await shop.change("tea", 2)
        await ask(shop, "tea is cheaper", "tea", "coffee")
        await ask(shop, "what there is not", "beer")
        await ask(shop, "and once more", "beer")
        shop.database.is_down = True
        await anyio.sleep(1.1)  # all prices expire
        await ask(shop, "the database is down", "tea", "coffee")
        await ask(shop, "it still is", "tea", "coffee")


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
