package headrace.seam;

import org.apache.flink.api.connector.source.SourceEvent;

/** What an enumerator and its readers tell one another. */
enum SeamEvent implements SourceEvent {
    /** To a reader: it has all of the files that it will get. */
    ALL_ASSIGNED,
    /** Of a reader: it has sent on all of the rows of its files. */
    ALL_SENT
}
