#!/bin/sh
# Pins the images of docker-compose.yml and deploy/Dockerfile by digest, as the registry gives it now; or, with --check,
# names those that are not pinned and ends with 1. Needs Docker (buildx) and the registry; read the change before you
# keep it. A pinned image keeps its tag, for people: name:tag@sha256:…
set -eu
cd "$(dirname "$0")/.."

# What others publish: `creances` is built here.
images() {
    { sed -n 's/^ *image: *//p' docker-compose.yml; sed -n 's/^FROM *//p' deploy/Dockerfile; } |
        sed 's/ .*//' | grep -v '^creances$' | sort -u
}

if [ "${1:-}" = --check ]; then
    if loose=$(images | grep -v '@sha256:'); then
        printf 'Not pinned by digest: %s\n' $loose >&2
        exit 1
    fi
    exit 0
fi

for image in $(images); do
    tag=${image%%@*}
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$tag")
    case $digest in
        sha256:*) ;;
        *) echo "No digest for $tag: $digest" >&2; exit 1 ;;
    esac
    for file in docker-compose.yml deploy/Dockerfile; do
        sed "s|$image\$|$tag@$digest|; s|$image |$tag@$digest |" "$file" > "$file.new"
        cat "$file.new" > "$file"
        rm "$file.new"
    done
    echo "$tag@$digest"
done
