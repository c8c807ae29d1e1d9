# One image for every component; docker-compose.yml says which command each service runs.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 wherry
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY apiserver apiserver
COPY controllers controllers
COPY kubelet kubelet
COPY kube kube
COPY wherry wherry
RUN pip install --no-cache-dir . && install -d -o wherry -g wherry -m 0700 /data /kubeconfigs

USER wherry
WORKDIR /home/wherry
ENTRYPOINT ["python", "-m"]
CMD ["apiserver", "--help"]
