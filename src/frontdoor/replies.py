"""A problem as an HTTP answer."""

from aiohttp import web

from frontdoor.problems import Problem, body, headers


def refuse(problem: Problem) -> web.Response:
    """The answer that says `problem`."""
    return web.Response(status=problem.status, body=body(problem), headers=headers(problem))
