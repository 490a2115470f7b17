set -eu
java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted \
  -t bTZ0RVhyVkVSTDJKcTR6cA -c /etc/kafka/server.properties
exec java -Xms128m -Xmx384m -XX:+UseSerialGC -cp '/opt/kafka/libs/*' kafka.Kafka /etc/kafka/server.properties
