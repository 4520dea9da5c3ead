"""A client in an aiohttp application: ``/ring`` calls a number, and the same server receives the webhooks."""

from aiohttp import web

import swcalls


async def ring(request: web.Request) -> web.Response:
    client = request.app[swcalls.CLIENT]
    async with client.dial(to=request.query["to"], from_="+12069708643") as call:
        try:
            await call.answered(timeout=30)
        except swcalls.CallEnded as ended:
            return web.json_response({"answered": False, "reason": ended.reason})
        await call.say("Your table is ready.").finished(timeout=60)
    return web.json_response({"answered": True})


def make_app(**settings: str) -> web.Application:
    app = web.Application()
    app.router.add_post("/ring", ring)
    # Adds the receiver below /swcalls, and opens and closes the client with the application.
    swcalls.setup(app, swcalls.Client.from_env(**settings))
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=8080)
