"""A call of get_historical_features, run when its rows are taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from features.errors import SettingError
from jobs.history.entity_rows import frame_of, with_features


class Retrieved(RetrievalJob):  # type: ignore[misc]
    """Rows, and features beside them. On-demand functions have run: training and the scorer call the same code for them."""

    def __init__(
        self,
        folder: Path,
        rows: pd.DataFrame,
        compute: Callable[[], pa.Table],
        metadata: RetrievalMetadata | None = None,
        full_names: bool = False,
    ) -> None:
        self.rows = rows
        """The entity rows, as they were given."""
        self._folder, self._compute, self._metadata, self._full_names = folder, compute, metadata, full_names
        self._features: pa.Table | None = None

    @property
    def full_feature_names(self) -> bool:
        """Whether a feature's column has its view's name too."""
        return self._full_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """None that Feast is to run."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was wanted."""
        return self._metadata

    def features(self) -> pa.Table:
        """The features alone, a row for each of the entity rows; computed once."""
        if self._features is None:
            self._features = self._compute()
        return self._features

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """The rows as they were, with the features as further columns."""
        if validation_reference:
            self.to_arrow(validation_reference, timeout)
        return with_features(self.rows, self.features())

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return with_features(self.rows, self.features())

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        features = self.features()
        table = pa.Table.from_pandas(self.rows, preserve_index=False).replace_schema_metadata(None)
        for name in features.column_names:
            table = table.append_column(name, features[name])
        return table

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the rows and features to the Parquet file of a saved dataset."""
        from feast.errors import SavedDatasetLocationAlreadyExists
        from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

        from jobs.history.compute import write

        if not isinstance(storage, SavedDatasetFileStorage):
            raise SettingError(
                f"a saved dataset is a Parquet file; got {type(storage).__name__}; write storage=SavedDatasetFileStorage(path=…)"
            )
        path = self._folder / storage.file_options.uri
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        write(self._to_arrow_internal(timeout), path)


class Stored(Retrieved):
    """Rows of a file as they are."""

    def __init__(self, folder: Path, table: Callable[[], pa.Table]) -> None:
        super().__init__(folder, pd.DataFrame(), table)

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """The rows."""
        return frame_of(self.to_arrow(validation_reference, timeout))

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return frame_of(self.features())

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self.features()
