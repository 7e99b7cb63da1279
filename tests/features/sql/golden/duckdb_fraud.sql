WITH
"transactions_by_customer_id_rows" AS (
  SELECT
    _row,
    "customer_id" AS _key_1,
    _arrival AS _among,
    CAST("event_time" AS HUGEINT) * 1000000000000000000 + _arrival AS _order,
    "amount",
    CAST(CAST("amount" AS DECIMAL(38, 2)) * 100 AS BIGINT) AS "_amount_units"
  FROM "transactions"
),
"transactions_by_customer_id_frames" AS (
  SELECT
    _row,
    count("amount") OVER _1d AS "count_amount_1d",
    sum("_amount_units") OVER _1d AS "total_amount_1d",
    count("amount") OVER _7d AS "count_amount_7d",
    sum("_amount_units") OVER _7d AS "total_amount_7d",
    count("amount") OVER _30d AS "count_amount_30d",
    sum("_amount_units") OVER _30d AS "total_amount_30d"
  FROM "transactions_by_customer_id_rows"
  WINDOW
    _1d AS (PARTITION BY _key_1 ORDER BY _order RANGE BETWEEN CAST(86399999 AS HUGEINT) * 1000000000000000000 + _among PRECEDING AND CURRENT ROW),
    _7d AS (PARTITION BY _key_1 ORDER BY _order RANGE BETWEEN CAST(604799999 AS HUGEINT) * 1000000000000000000 + _among PRECEDING AND CURRENT ROW),
    _30d AS (PARTITION BY _key_1 ORDER BY _order RANGE BETWEEN CAST(2591999999 AS HUGEINT) * 1000000000000000000 + _among PRECEDING AND CURRENT ROW)
  QUALIFY _row IS NOT NULL
),
"transactions_by_customer_id" AS (
  SELECT
    _row,
    "count_amount_1d" AS "customer_spend__count_1d",
    coalesce(coalesce(CAST(TRY_CAST("total_amount_1d" AS BIGINT) AS DOUBLE), CAST(CAST("total_amount_1d" AS VARCHAR) AS DOUBLE)) / (CAST(nullif("count_amount_1d", 0) AS DOUBLE) * 100), CAST(0.0 AS DOUBLE)) AS "customer_spend__mean_1d",
    "count_amount_7d" AS "customer_spend__count_7d",
    coalesce(coalesce(CAST(TRY_CAST("total_amount_7d" AS BIGINT) AS DOUBLE), CAST(CAST("total_amount_7d" AS VARCHAR) AS DOUBLE)) / (CAST(nullif("count_amount_7d", 0) AS DOUBLE) * 100), CAST(0.0 AS DOUBLE)) AS "customer_spend__mean_7d",
    "count_amount_30d" AS "customer_spend__count_30d",
    coalesce(coalesce(CAST(TRY_CAST("total_amount_30d" AS BIGINT) AS DOUBLE), CAST(CAST("total_amount_30d" AS VARCHAR) AS DOUBLE)) / (CAST(nullif("count_amount_30d", 0) AS DOUBLE) * 100), CAST(0.0 AS DOUBLE)) AS "customer_spend__mean_30d"
  FROM "transactions_by_customer_id_frames"
),
"labels_by_terminal_id_rows" AS (
  SELECT
    NULL AS _row,
    "terminal_id" AS _key_1,
    _arrival AS _among,
    CAST("event_time" AS HUGEINT) * 1000000000000000000 + _arrival AS _order,
    "is_fraud"
  FROM "labels"
  UNION ALL
  SELECT
    _row,
    "terminal_id" AS _key_1,
    _arrival + 500000000000000000 AS _among,
    CAST("event_time" AS HUGEINT) * 1000000000000000000 + _arrival + 500000000000000000 AS _order,
    NULL AS "is_fraud"
  FROM "transactions"
  WHERE _row IS NOT NULL
),
"labels_by_terminal_id_frames" AS (
  SELECT
    _row,
    count("is_fraud") OVER _1d AS "count_is_fraud_1d",
    sum("is_fraud") OVER _1d AS "total_is_fraud_1d",
    count("is_fraud") OVER _7d AS "count_is_fraud_7d",
    sum("is_fraud") OVER _7d AS "total_is_fraud_7d",
    count("is_fraud") OVER _30d AS "count_is_fraud_30d",
    sum("is_fraud") OVER _30d AS "total_is_fraud_30d"
  FROM "labels_by_terminal_id_rows"
  WINDOW
    _1d AS (PARTITION BY _key_1 ORDER BY _order RANGE BETWEEN CAST(86399999 AS HUGEINT) * 1000000000000000000 + _among PRECEDING AND CURRENT ROW),
    _7d AS (PARTITION BY _key_1 ORDER BY _order RANGE BETWEEN CAST(604799999 AS HUGEINT) * 1000000000000000000 + _among PRECEDING AND CURRENT ROW),
    _30d AS (PARTITION BY _key_1 ORDER BY _order RANGE BETWEEN CAST(2591999999 AS HUGEINT) * 1000000000000000000 + _among PRECEDING AND CURRENT ROW)
  QUALIFY _row IS NOT NULL
),
"labels_by_terminal_id" AS (
  SELECT
    _row,
    "count_is_fraud_1d" AS "terminal_risk__count_1d",
    coalesce(coalesce(CAST(TRY_CAST("total_is_fraud_1d" AS BIGINT) AS DOUBLE), CAST(CAST("total_is_fraud_1d" AS VARCHAR) AS DOUBLE)) / CAST(nullif("count_is_fraud_1d", 0) AS DOUBLE), CAST(0.0 AS DOUBLE)) AS "terminal_risk__mean_1d",
    "count_is_fraud_7d" AS "terminal_risk__count_7d",
    coalesce(coalesce(CAST(TRY_CAST("total_is_fraud_7d" AS BIGINT) AS DOUBLE), CAST(CAST("total_is_fraud_7d" AS VARCHAR) AS DOUBLE)) / CAST(nullif("count_is_fraud_7d", 0) AS DOUBLE), CAST(0.0 AS DOUBLE)) AS "terminal_risk__mean_7d",
    "count_is_fraud_30d" AS "terminal_risk__count_30d",
    coalesce(coalesce(CAST(TRY_CAST("total_is_fraud_30d" AS BIGINT) AS DOUBLE), CAST(CAST("total_is_fraud_30d" AS VARCHAR) AS DOUBLE)) / CAST(nullif("count_is_fraud_30d", 0) AS DOUBLE), CAST(0.0 AS DOUBLE)) AS "terminal_risk__mean_30d"
  FROM "labels_by_terminal_id_frames"
)
SELECT
  _row,
  "customer_spend__count_1d",
  "customer_spend__mean_1d",
  "customer_spend__count_7d",
  "customer_spend__mean_7d",
  "customer_spend__count_30d",
  "customer_spend__mean_30d",
  "terminal_risk__count_1d",
  "terminal_risk__mean_1d",
  "terminal_risk__count_7d",
  "terminal_risk__mean_7d",
  "terminal_risk__count_30d",
  "terminal_risk__mean_30d"
FROM (SELECT _row FROM "transactions" WHERE _row IS NOT NULL)
JOIN "transactions_by_customer_id" USING (_row)
JOIN "labels_by_terminal_id" USING (_row)
ORDER BY _row
