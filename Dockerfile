# All of the lock is fetched and its hashes are checked; what the second stage takes of it is only what Lastslot itself needs.
FROM python:3.13-slim AS wheels
WORKDIR /lastslot
COPY requirements.lock .
RUN pip wheel --no-cache-dir --no-deps --require-hashes --requirement requirements.lock --wheel-dir /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install --no-cache-dir --no-index --find-links /wheels lastslot
# Where front doors and jobs share their snapshot of codes; a new volume takes its owner from here.
RUN install -d -o nobody -g nogroup /filter
USER nobody
# The command is the process's own first: signals reach it, and it stops in order.
CMD ["lastslot", "--help"]
