CREATE TEMPORARY SYSTEM FUNCTION sliding_windows AS 'headrace.windows.SlidingWindows';

CREATE TEMPORARY SYSTEM FUNCTION epoch_millis AS 'headrace.formats.EpochMillis';

CREATE TEMPORARY SYSTEM FUNCTION written AS 'headrace.formats.Written';

CREATE TEMPORARY SYSTEM FUNCTION trace_headers AS 'headrace.formats.TraceHeaders';

CREATE TEMPORARY SYSTEM FUNCTION join_labels AS 'headrace.outcomes.JoinLabels';

CREATE TEMPORARY TABLE `_predictions` (
  `_key` STRING,
  `event_id` BIGINT,
  `event_time` BIGINT,
  `score` DOUBLE,
  `receipt.plan` STRING,
  `receipt.model` STRING,
  `receipt.version` BIGINT,
  `receipt.sha256` STRING,
  `receipt.complete` BOOLEAN,
  `receipt.scored_at` BIGINT,
  `_reason` STRING,
  `_detail` STRING,
  `_value` BYTES,
  `_partition` INT METADATA FROM 'partition' VIRTUAL,
  `_offset` BIGINT METADATA FROM 'offset' VIRTUAL,
  `_arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `_headers` MAP<STRING, BYTES> METADATA FROM 'headers' VIRTUAL,
  `_rt` AS TO_TIMESTAMP_LTZ(`event_time`, 3),
  WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ(`event_time` - 1, 3)
) WITH (
  'connector' = 'kafka',
  'topic' = 'predictions.fraud',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'headrace.outcomes.fraud',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'headrace-event',
  'headrace-event.required' = 'event_id;score;receipt.plan;receipt.model;receipt.version;receipt.sha256;receipt.complete;receipt.scored_at',
  'headrace-event.time' = 'event_time',
  'headrace-event.timestamps' = '',
  'headrace-event.max-ahead-ms' = '3600000',
  'headrace-event.max-age-ms' = '4611686018427387904',
  'headrace-event.value-bytes' = '6281823',
  'key.format' = 'raw',
  'key.fields' = '_key',
  'value.fields-include' = 'EXCEPT_KEY',
  'headrace-event.within' = 'receipt',
  'scan.topic-partition-discovery.interval' = '10000 ms',
  'scan.watermark.idle-timeout' = '10000 ms',
  'scan.watermark.alignment.group' = 'outcomes.fraud',
  'scan.watermark.alignment.max-drift' = '2678400000 ms',
  'scan.watermark.alignment.update-interval' = '50 ms'
);

CREATE TEMPORARY TABLE `_labels` (
  `transaction_id` BIGINT,
  `event_time` BIGINT,
  `is_fraud` BIGINT,
  `_reason` STRING,
  `_detail` STRING,
  `_value` BYTES,
  `_partition` INT METADATA FROM 'partition' VIRTUAL,
  `_offset` BIGINT METADATA FROM 'offset' VIRTUAL,
  `_arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `_headers` MAP<STRING, BYTES> METADATA FROM 'headers' VIRTUAL,
  `_rt` AS TO_TIMESTAMP_LTZ(`event_time`, 3),
  WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ(`event_time` - 1, 3)
) WITH (
  'connector' = 'kafka',
  'topic' = 'labels',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'headrace.outcomes.fraud',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'headrace-event',
  'headrace-event.required' = 'transaction_id',
  'headrace-event.time' = 'event_time',
  'headrace-event.timestamps' = 'event_time',
  'headrace-event.max-ahead-ms' = '3600000',
  'headrace-event.max-age-ms' = '1576800000000',
  'headrace-event.value-bytes' = '6281823',
  'scan.topic-partition-discovery.interval' = '10000 ms',
  'scan.watermark.idle-timeout' = '10000 ms',
  'scan.watermark.alignment.group' = 'outcomes.fraud',
  'scan.watermark.alignment.max-drift' = '2678400000 ms',
  'scan.watermark.alignment.update-interval' = '50 ms'
);

CREATE TEMPORARY TABLE `_outcomes` (
  `_key` STRING,
  `event_id` BIGINT,
  `key` STRING,
  `event_time` BIGINT,
  `score` DOUBLE,
  `plan` STRING,
  `model` STRING,
  `version` BIGINT,
  `sha256` STRING,
  `complete` BOOLEAN,
  `scored_at` BIGINT,
  `label` DOUBLE,
  `known_at` BIGINT,
  `label_at` BIGINT,
  `labels` BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = 'outcomes.fraud',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.linger.ms' = '0',
  'properties.batch.size' = '262144',
  'properties.max.request.size' = '1048588',
  'sink.delivery-guarantee' = 'at-least-once',
  'key.format' = 'raw',
  'key.fields' = '_key',
  'value.format' = 'headrace-vector',
  'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TEMPORARY TABLE `_dead_letters` (
  `_key` STRING,
  `reason` STRING,
  `detail` STRING,
  `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>,
  `arrived_at` BIGINT,
  `value` BYTES,
  `headers` MAP<STRING, BYTES> METADATA
) WITH (
  'connector' = 'kafka',
  'topic' = 'dead_letters',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.linger.ms' = '0',
  'properties.batch.size' = '262144',
  'properties.max.request.size' = '8388608',
  'sink.delivery-guarantee' = 'at-least-once',
  'key.format' = 'raw',
  'key.fields' = '_key',
  'value.format' = 'headrace-vector',
  'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TEMPORARY VIEW `_rows` AS
SELECT
  CAST(`event_id` AS STRING) AS `_id`,
  `event_time` AS `at`,
  `_key` AS `key`,
  `event_time` AS `event_time`,
  `score` AS `score`,
  `receipt.plan` AS `plan`,
  `receipt.model` AS `model`,
  `receipt.version` AS `version`,
  `receipt.sha256` AS `sha256`,
  `receipt.complete` AS `complete`,
  `receipt.scored_at` AS `scored_at`,
  CAST(NULL AS DOUBLE) AS `label`
FROM `_predictions`
WHERE `_reason` IS NULL
UNION ALL
SELECT
  CAST(`transaction_id` AS STRING) AS `_id`,
  `event_time` AS `at`,
  CAST(NULL AS STRING),
  CAST(NULL AS BIGINT),
  CAST(NULL AS DOUBLE),
  CAST(NULL AS STRING),
  CAST(NULL AS STRING),
  CAST(NULL AS BIGINT),
  CAST(NULL AS STRING),
  CAST(NULL AS BOOLEAN),
  CAST(NULL AS BIGINT),
  CAST(`is_fraud` AS DOUBLE)
FROM `_labels`
WHERE `_reason` IS NULL AND `is_fraud` IS NOT NULL;

CREATE TEMPORARY VIEW `_joined` AS
SELECT * FROM join_labels(
  r => TABLE `_rows` PARTITION BY `_id`,
  horizon_ms => CAST(2592000000 AS BIGINT),
  lateness_ms => CAST(86400000 AS BIGINT),
  uid => 'outcomes'
);

INSERT INTO `_outcomes`
SELECT
  `_id`,
  CAST(`_id` AS BIGINT),
  `key`,
  `event_time`,
  `score`,
  `plan`,
  `model`,
  `version`,
  `sha256`,
  `complete`,
  `scored_at`,
  `label`,
  `known_at`,
  `label_at`,
  `labels`
FROM `_joined`
WHERE TRUE;

INSERT INTO `_dead_letters`
SELECT
  CONCAT_WS('-', 'predictions.fraud', CAST(`_partition` AS STRING), CAST(`_offset` AS STRING)),
  `_reason`,
  `_detail`,
  ROW('predictions.fraud', `_partition`, `_offset`),
  epoch_millis(`_arrived`),
  `_value`,
  trace_headers(`_headers`, 'traceparent;tracestate;x-request-id', 512)
FROM `_predictions`
WHERE `_reason` IS NOT NULL AND NOT written('predictions.fraud', `_partition`, `_offset`, epoch_millis(`_arrived`));

INSERT INTO `_dead_letters`
SELECT
  CONCAT_WS('-', 'labels', CAST(`_partition` AS STRING), CAST(`_offset` AS STRING)),
  `_reason`,
  `_detail`,
  ROW('labels', `_partition`, `_offset`),
  epoch_millis(`_arrived`),
  `_value`,
  trace_headers(`_headers`, 'traceparent;tracestate;x-request-id', 512)
FROM `_labels`
WHERE `_reason` IS NOT NULL AND CHAR_LENGTH(`_reason`) < 0;
