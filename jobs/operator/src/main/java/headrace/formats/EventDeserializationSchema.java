package headrace.formats;

import headrace.warmup.WarmUp;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/** {@link EventDecoder} as Flink wants it. */
final class EventDeserializationSchema implements DeserializationSchema<RowData> {
    private static final long serialVersionUID = 1L;

    private final RowType type;
    private final TypeInformation<RowData> produced;
    private final EventDecoder.Rules rules;
    private transient EventDecoder decoder;

    EventDeserializationSchema(RowType type, TypeInformation<RowData> produced, EventDecoder.Rules rules) {
        this.type = type;
        this.produced = produced;
        this.rules = rules;
    }

    @Override
    public void open(InitializationContext context) {
        decoder = new EventDecoder(type, rules, System::currentTimeMillis);
        byte[] sample = decoder.sample();
        WarmUp.run("decoding of " + type.getFieldNames(), number -> decoder.decode(sample));
    }

    @Override
    public RowData deserialize(byte[] value) {
        return decoder.decode(value);
    }

    @Override
    public boolean isEndOfStream(RowData next) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return produced;
    }
}
