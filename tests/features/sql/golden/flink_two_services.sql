CREATE TEMPORARY SYSTEM FUNCTION sliding_windows AS 'headrace.windows.SlidingWindows';

CREATE TEMPORARY SYSTEM FUNCTION epoch_millis AS 'headrace.formats.EpochMillis';

CREATE TEMPORARY SYSTEM FUNCTION written AS 'headrace.formats.Written';

CREATE TEMPORARY SYSTEM FUNCTION trace_headers AS 'headrace.formats.TraceHeaders';

CREATE TEMPORARY TABLE `transactions` (
  `transaction_id` BIGINT,
  `event_time` BIGINT,
  `customer_id` BIGINT,
  `terminal_id` BIGINT,
  `amount` DECIMAL(12, 2),
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
  'topic' = 'transactions',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'headrace.fraud',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'headrace-event',
  'headrace-event.required' = 'transaction_id;customer_id;terminal_id',
  'headrace-event.time' = 'event_time',
  'headrace-event.timestamps' = 'event_time',
  'headrace-event.max-ahead-ms' = '3600000',
  'headrace-event.max-age-ms' = '1576800000000',
  'headrace-event.value-bytes' = '6281823',
  'headrace-event.vector-bytes' = '1043151',
  'scan.topic-partition-discovery.interval' = '10000 ms',
  'scan.watermark.idle-timeout' = '10000 ms'
);

CREATE TEMPORARY TABLE `labels` (
  `transaction_id` BIGINT,
  `event_time` BIGINT,
  `customer_id` BIGINT,
  `terminal_id` BIGINT,
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
  'properties.group.id' = 'headrace.fraud',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'headrace-event',
  'headrace-event.required' = 'transaction_id;terminal_id',
  'headrace-event.time' = 'event_time',
  'headrace-event.timestamps' = 'event_time',
  'headrace-event.max-ahead-ms' = '3600000',
  'headrace-event.max-age-ms' = '1576800000000',
  'headrace-event.value-bytes' = '6281823',
  'scan.topic-partition-discovery.interval' = '10000 ms',
  'scan.watermark.idle-timeout' = '10000 ms'
);

CREATE TEMPORARY TABLE `_features_fraud` (
  `_key` STRING,
  `event_id` BIGINT,
  `event_time` BIGINT,
  `plan` STRING,
  `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>,
  `arrived_at` BIGINT,
  `complete` BOOLEAN,
  `event` ROW<`transaction_id` BIGINT, `event_time` BIGINT, `customer_id` BIGINT, `terminal_id` BIGINT, `amount` DECIMAL(12, 2)>,
  `features` ROW<`customer_spend__count_1d` BIGINT, `customer_spend__mean_1d` DOUBLE, `customer_spend__count_7d` BIGINT, `customer_spend__mean_7d` DOUBLE, `customer_spend__count_30d` BIGINT, `customer_spend__mean_30d` DOUBLE, `terminal_risk__count_1d` BIGINT, `terminal_risk__mean_1d` DOUBLE, `terminal_risk__count_7d` BIGINT, `terminal_risk__mean_7d` DOUBLE, `terminal_risk__count_30d` BIGINT, `terminal_risk__mean_30d` DOUBLE>,
  `valid_until` ROW<`customer_spend` BIGINT, `terminal_risk` BIGINT>,
  `headers` MAP<STRING, BYTES> METADATA
) WITH (
  'connector' = 'kafka',
  'topic' = 'features.fraud',
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

CREATE TEMPORARY TABLE `_features_limits` (
  `_key` STRING,
  `event_id` BIGINT,
  `event_time` BIGINT,
  `plan` STRING,
  `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>,
  `arrived_at` BIGINT,
  `complete` BOOLEAN,
  `event` ROW<`transaction_id` BIGINT, `event_time` BIGINT, `customer_id` BIGINT, `terminal_id` BIGINT, `amount` DECIMAL(12, 2)>,
  `features` ROW<`customer_spend__count_1d` BIGINT, `customer_spend__mean_1d` DOUBLE>,
  `valid_until` ROW<`customer_spend` BIGINT>,
  `headers` MAP<STRING, BYTES> METADATA
) WITH (
  'connector' = 'kafka',
  'topic' = 'features.limits',
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

CREATE TEMPORARY TABLE `_late_rows` (
  `view` STRING,
  `source` STRING,
  `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>,
  `event_time` BIGINT,
  `late_ms` BIGINT,
  `vectors` BIGINT,
  `changed` BIGINT,
  `counted` BOOLEAN
) WITH (
  'connector' = 'kafka',
  'topic' = 'late_rows',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.linger.ms' = '0',
  'properties.batch.size' = '262144',
  'properties.max.request.size' = '1048588',
  'sink.delivery-guarantee' = 'at-least-once',
  'format' = 'headrace-vector'
);

CREATE TEMPORARY VIEW `transactions_by_customer_id_rows` AS
SELECT
  `customer_id` AS `_key`,
  `event_time` AS `_time`,
  TRUE AS `_contributes`,
  TRUE AS `_is_query`,
  `_partition`,
  `_offset`,
  `amount` AS `_value_amount`,
  epoch_millis(`_arrived`) AS `_arrived`,
  `transaction_id`,
  `event_time`,
  `customer_id`,
  `terminal_id`,
  `amount`,
  trace_headers(`_headers`, 'traceparent;tracestate;x-request-id', 512) AS `_trace`
FROM `transactions`
WHERE `_reason` IS NULL;

CREATE TEMPORARY VIEW `transactions_by_customer_id` AS
SELECT
  `_partition`,
  `_offset`,
  `_arrived`,
  `transaction_id`,
  `event_time`,
  `customer_id`,
  `terminal_id`,
  `amount`,
  `_trace`,
  `customer_spend__count_1d`,
  `customer_spend__mean_1d`,
  `customer_spend__count_7d`,
  `customer_spend__mean_7d`,
  `customer_spend__count_30d`,
  `customer_spend__mean_30d`,
  `_complete` AS `_complete_transactions_by_customer_id`,
  `_valid_until_customer_spend`,
  `_late`
FROM sliding_windows(
  r => TABLE `transactions_by_customer_id_rows` PARTITION BY `_key`,
  spec => '{"mode": "arrival", "retention": 2764800000, "lateness": 172800000, "whole_from": null, "cache": 0, "kept": 67108864, "values": ["_value_amount"], "features": [{"name": "customer_spend__count_1d", "function": "count", "parameter": null, "value": 0, "window": 86400000, "fill": null, "view": "customer_spend"}, {"name": "customer_spend__mean_1d", "function": "mean", "parameter": null, "value": 0, "window": 86400000, "fill": 0.0, "view": "customer_spend"}, {"name": "customer_spend__count_7d", "function": "count", "parameter": null, "value": 0, "window": 604800000, "fill": null, "view": "customer_spend"}, {"name": "customer_spend__mean_7d", "function": "mean", "parameter": null, "value": 0, "window": 604800000, "fill": 0.0, "view": "customer_spend"}, {"name": "customer_spend__count_30d", "function": "count", "parameter": null, "value": 0, "window": 2592000000, "fill": null, "view": "customer_spend"}, {"name": "customer_spend__mean_30d", "function": "mean", "parameter": null, "value": 0, "window": 2592000000, "fill": 0.0, "view": "customer_spend"}], "carry": ["_partition", "_offset", "_arrived", "transaction_id", "event_time", "customer_id", "terminal_id", "amount", "_trace"]}',
  uid => 'transactions_by_customer_id'
);

CREATE TEMPORARY VIEW `labels_by_terminal_id_rows` AS
SELECT
  `terminal_id` AS `_key`,
  `event_time` AS `_time`,
  FALSE AS `_contributes`,
  TRUE AS `_is_query`,
  `_partition`,
  `_offset`,
  CAST(NULL AS BIGINT) AS `_value_is_fraud`,
  `_arrived`,
  `transaction_id`,
  `event_time`,
  `customer_id`,
  `terminal_id`,
  `amount`,
  `customer_spend__count_1d`,
  `customer_spend__mean_1d`,
  `customer_spend__count_7d`,
  `customer_spend__mean_7d`,
  `customer_spend__count_30d`,
  `customer_spend__mean_30d`,
  `_complete_transactions_by_customer_id`,
  `_valid_until_customer_spend`,
  `_trace`
FROM `transactions_by_customer_id`
WHERE `_late` IS NULL
UNION ALL
SELECT
  `terminal_id` AS `_key`,
  `event_time` AS `_time`,
  TRUE AS `_contributes`,
  FALSE AS `_is_query`,
  `_partition`,
  `_offset`,
  `is_fraud` AS `_value_is_fraud`,
  CAST(NULL AS BIGINT) AS `_arrived`,
  CAST(NULL AS BIGINT) AS `transaction_id`,
  CAST(NULL AS BIGINT) AS `event_time`,
  CAST(NULL AS BIGINT) AS `customer_id`,
  CAST(NULL AS BIGINT) AS `terminal_id`,
  CAST(NULL AS DECIMAL(12, 2)) AS `amount`,
  CAST(NULL AS BIGINT) AS `customer_spend__count_1d`,
  CAST(NULL AS DOUBLE) AS `customer_spend__mean_1d`,
  CAST(NULL AS BIGINT) AS `customer_spend__count_7d`,
  CAST(NULL AS DOUBLE) AS `customer_spend__mean_7d`,
  CAST(NULL AS BIGINT) AS `customer_spend__count_30d`,
  CAST(NULL AS DOUBLE) AS `customer_spend__mean_30d`,
  CAST(NULL AS BOOLEAN) AS `_complete_transactions_by_customer_id`,
  CAST(NULL AS BIGINT) AS `_valid_until_customer_spend`,
  CAST(NULL AS MAP<STRING, BYTES>) AS `_trace`
FROM `labels`
WHERE `_reason` IS NULL;

CREATE TEMPORARY VIEW `labels_by_terminal_id` AS
SELECT
  `_partition`,
  `_offset`,
  `_arrived`,
  `transaction_id`,
  `event_time`,
  `customer_id`,
  `terminal_id`,
  `amount`,
  `customer_spend__count_1d`,
  `customer_spend__mean_1d`,
  `customer_spend__count_7d`,
  `customer_spend__mean_7d`,
  `customer_spend__count_30d`,
  `customer_spend__mean_30d`,
  `_complete_transactions_by_customer_id`,
  `_valid_until_customer_spend`,
  `_trace`,
  `terminal_risk__count_1d`,
  `terminal_risk__mean_1d`,
  `terminal_risk__count_7d`,
  `terminal_risk__mean_7d`,
  `terminal_risk__count_30d`,
  `terminal_risk__mean_30d`,
  `_complete` AS `_complete_labels_by_terminal_id`,
  `_valid_until_terminal_risk`,
  `_late`
FROM sliding_windows(
  r => TABLE `labels_by_terminal_id_rows` PARTITION BY `_key`,
  spec => '{"mode": "arrival", "retention": 2764800000, "lateness": 172800000, "whole_from": null, "cache": 0, "kept": 67108864, "values": ["_value_is_fraud"], "features": [{"name": "terminal_risk__count_1d", "function": "count", "parameter": null, "value": 0, "window": 86400000, "fill": null, "view": "terminal_risk"}, {"name": "terminal_risk__mean_1d", "function": "mean", "parameter": null, "value": 0, "window": 86400000, "fill": 0.0, "view": "terminal_risk"}, {"name": "terminal_risk__count_7d", "function": "count", "parameter": null, "value": 0, "window": 604800000, "fill": null, "view": "terminal_risk"}, {"name": "terminal_risk__mean_7d", "function": "mean", "parameter": null, "value": 0, "window": 604800000, "fill": 0.0, "view": "terminal_risk"}, {"name": "terminal_risk__count_30d", "function": "count", "parameter": null, "value": 0, "window": 2592000000, "fill": null, "view": "terminal_risk"}, {"name": "terminal_risk__mean_30d", "function": "mean", "parameter": null, "value": 0, "window": 2592000000, "fill": 0.0, "view": "terminal_risk"}], "carry": ["_partition", "_offset", "_arrived", "transaction_id", "event_time", "customer_id", "terminal_id", "amount", "customer_spend__count_1d", "customer_spend__mean_1d", "customer_spend__count_7d", "customer_spend__mean_7d", "customer_spend__count_30d", "customer_spend__mean_30d", "_complete_transactions_by_customer_id", "_valid_until_customer_spend", "_trace"]}',
  uid => 'labels_by_terminal_id'
);

INSERT INTO `_features_fraud`
SELECT
  CAST(`customer_id` AS STRING),
  `transaction_id`,
  `event_time`,
  '639288c73258',
  ROW('transactions', `_partition`, `_offset`),
  `_arrived`,
  `_complete_transactions_by_customer_id` AND `_complete_labels_by_terminal_id`,
  ROW(`transaction_id`, `event_time`, `customer_id`, `terminal_id`, `amount`),
  ROW(`customer_spend__count_1d`, `customer_spend__mean_1d`, `customer_spend__count_7d`, `customer_spend__mean_7d`, `customer_spend__count_30d`, `customer_spend__mean_30d`, `terminal_risk__count_1d`, `terminal_risk__mean_1d`, `terminal_risk__count_7d`, `terminal_risk__mean_7d`, `terminal_risk__count_30d`, `terminal_risk__mean_30d`),
  ROW(`_valid_until_customer_spend`, `_valid_until_terminal_risk`),
  `_trace`
FROM `labels_by_terminal_id`
WHERE `_late` IS NULL;

INSERT INTO `_features_limits`
SELECT
  CAST(`customer_id` AS STRING),
  `transaction_id`,
  `event_time`,
  'f3548955e7eb',
  ROW('transactions', `_partition`, `_offset`),
  `_arrived`,
  `_complete_transactions_by_customer_id`,
  ROW(`transaction_id`, `event_time`, `customer_id`, `terminal_id`, `amount`),
  ROW(`customer_spend__count_1d`, `customer_spend__mean_1d`),
  ROW(`_valid_until_customer_spend`),
  `_trace`
FROM `transactions_by_customer_id`
WHERE `_late` IS NULL;

INSERT INTO `_dead_letters`
SELECT
  CONCAT_WS('-', 'transactions', CAST(`_partition` AS STRING), CAST(`_offset` AS STRING)),
  `_reason`,
  `_detail`,
  ROW('transactions', `_partition`, `_offset`),
  epoch_millis(`_arrived`),
  `_value`,
  trace_headers(`_headers`, 'traceparent;tracestate;x-request-id', 512)
FROM `transactions`
WHERE `_reason` IS NOT NULL AND NOT written('transactions', `_partition`, `_offset`, epoch_millis(`_arrived`));

INSERT INTO `_dead_letters`
SELECT
  CONCAT_WS('-', 'labels', CAST(`_partition` AS STRING), CAST(`_offset` AS STRING)),
  `_reason`,
  `_detail`,
  ROW('labels', `_partition`, `_offset`),
  epoch_millis(`_arrived`),
  `_value`,
  trace_headers(`_headers`, 'traceparent;tracestate;x-request-id', 512)
FROM `labels`
WHERE `_reason` IS NOT NULL AND NOT written('labels', `_partition`, `_offset`, epoch_millis(`_arrived`));

INSERT INTO `_late_rows`
SELECT
  `_late`.`view`,
  'transactions',
  ROW('transactions', `_partition`, `_offset`),
  `_late`.`time`,
  `_late`.`late_ms`,
  `_late`.`vectors`,
  `_late`.`changed`,
  `_late`.`counted`
FROM `transactions_by_customer_id`
WHERE `_late` IS NOT NULL;

INSERT INTO `_late_rows`
SELECT
  `_late`.`view`,
  'labels',
  ROW('labels', `_partition`, `_offset`),
  `_late`.`time`,
  `_late`.`late_ms`,
  `_late`.`vectors`,
  `_late`.`changed`,
  `_late`.`counted`
FROM `labels_by_terminal_id`
WHERE `_late` IS NOT NULL;
