# The room server, with the embedded media server in it (used unless ROOMFSM_KURENTO names another).
FROM python:3.13-slim
WORKDIR /opt/roomfsm
COPY --from=ghcr.io/astral-sh/uv:latest /uv /usr/local/bin/uv
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY roomfsm ./roomfsm
COPY client ./client
# With what `roomfsm check` needs to ask TURN servers, and the client of Redis.
RUN uv sync --locked --no-dev --no-editable --extra peer --extra redis && useradd --system roomfsm
# The rooms are kept in /var/lib/roomfsm, which should be a volume.
RUN install --directory --owner=roomfsm --mode=0700 /var/lib/roomfsm
ENV PATH=/opt/roomfsm/.venv/bin:$PATH ROOMFSM_HOST=0.0.0.0 ROOMFSM_LOG_FORMAT=json XDG_STATE_HOME=/var/lib
USER roomfsm
VOLUME /var/lib/roomfsm
EXPOSE 8080
# The server drains on SIGTERM, which is what `docker stop` sends.
CMD ["roomfsm", "serve"]
