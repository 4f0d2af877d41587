#!/bin/sh
# Nextflow with this project's environment: installed by scripts/setup as .venv/bin/nextflow.
set -eu

bin=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
jars=$bin/../lib/nextflow

# Tasks find the project's Python and `babyseg`.
PATH=$bin:$PATH
export PATH

# Java reads and writes file names in the encoding of the locale: without UTF-8, "Zoë" would become "Zo?".
case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
    *[Uu][Tt][Ff]8* | *[Uu][Tt][Ff]-8*) ;;
    *) LC_ALL=C.UTF-8; export LC_ALL ;;
esac

# A Nextflow that was on PATH at set-up.
if [ -e "$jars/nextflow" ]; then
    exec "$jars/nextflow" "$@"
fi

# The jars of Maven Central. Plugins are neither needed nor looked for, so no run waits for the network.
NXF_OFFLINE=${NXF_OFFLINE:-true}
NXF_PLUGINS_DEFAULT=${NXF_PLUGINS_DEFAULT:-false}
NXF_CLI="nextflow $*"
export NXF_OFFLINE NXF_PLUGINS_DEFAULT NXF_CLI

java=java
if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then java=$JAVA_HOME/bin/java; fi

opens=''
for package in java.lang java.io java.nio java.net java.util java.util.concurrent.locks \
    java.util.concurrent.atomic java.util.regex sun.nio.ch sun.nio.fs sun.net.www.protocol.http \
    sun.net.www.protocol.https sun.net.www.protocol.ftp sun.net.www.protocol.file \
    jdk.internal.misc jdk.internal.vm; do
    opens="$opens --add-opens=java.base/$package=ALL-UNNAMED"
done

# shellcheck disable=SC2086  # one word per option is meant
exec "$java" $opens -Dfile.encoding=UTF-8 -XX:+TieredCompilation ${NXF_OPTS:-} -cp "$jars/*" nextflow.cli.Launcher "$@"
