#!/bin/sh
# What kcat shows of a topic.
#
#     apt-get install kcat
#     ./subscribe_kcat.sh localhost:9092 market.signals.v1
#
# Debian's kcat is built without Avro: it lists, counts, and shows keys, headers, offsets and times, but values stay
# bytes. One that is built with Avro (with libserdes) decodes them by our registry, the server of `kandle serve`:
#
#     kcat -b localhost:9092 -t market.signals.v1 -C -e -s value=avro -r http://127.0.0.1:8765
#
set -eu
broker=${1:?usage: subscribe_kcat.sh BROKER TOPIC [REGISTRY]}
topic=${2:?usage: subscribe_kcat.sh BROKER TOPIC [REGISTRY]}
registry=${3:-http://127.0.0.1:8765}

echo "# partitions and leaders"
kcat -b "$broker" -L -t "$topic" -q

echo "# where the first partition begins and ends"
kcat -b "$broker" -Q -t "$topic:0:-2" # -2 and -1 stand for beginning and end; any other number is a time in ms
kcat -b "$broker" -Q -t "$topic:0:-1"

echo "# the five newest records of each partition: partition, offset, Kafka's time, key, headers, bytes of the value"
kcat -b "$broker" -C -t "$topic" -o -5 -e -q -f '%p %o %T %k [%h] %S\n'

if kcat -V 2>&1 | grep -q Avro; then
  echo "# the same, decoded"
  kcat -b "$broker" -C -t "$topic" -o -5 -e -q -s value=avro -r "$registry"
else
  echo "# this kcat was built without Avro: values are not decoded; kandle tail $topic does that"
fi
