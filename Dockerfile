FROM python:3.13-slim
WORKDIR /lastslot
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index .
USER nobody
# The command is the process's own first: signals reach it, and it stops in order.
CMD ["lastslot", "--help"]
