from shared.copying.model import Chunk
from shared.copying.plan import CHUNKS_PER_JOB, Heap, in_turns, key_chunks, make_jobs, page_chunks, part_bytes
from shared.copying.reading import range_sql, select_sql, where_sql, without_sql
from shared.databaseplan import PlannedColumn, PlannedTable

MB = 1024 * 1024


def planned(rows=1000, **more):
    columns = [
        PlannedColumn(name="id", source_name="id", source_type="bigint", type="bigint", nullable=False),
        PlannedColumn(name="Name", source_name="name", source_type="character varying(20)", type="nvarchar(20)"),
    ]
    return PlannedTable(name="shop$order", source_name="shop$order", columns=columns, rows=rows, **more)


def test_a_small_table_is_one_whole_chunk():
    (chunk,) = page_chunks(planned(), Heap(pages=10, bytes=MB), 1)
    assert (chunk.by, chunk.first, chunk.last, chunk.rows) == ("whole", None, None, 1000)


def test_a_table_without_pages_has_no_chunk():
    assert list(page_chunks(planned(), Heap(pages=0, bytes=8192), 1)) == []


def test_a_large_table_is_cut_into_page_ranges_that_touch_and_end_open():
    chunks = list(page_chunks(planned(), Heap(pages=1001, bytes=300 * MB), 5))
    assert [(one.first, one.last) for one in chunks] == [(0, 200), (200, 400), (400, 600), (600, 800), (800, None)]
    assert [one.number for one in chunks] == [0, 1, 2, 3, 4]


def test_a_table_whose_bytes_are_in_toast_has_no_more_chunks_than_pages():
    assert len(list(page_chunks(planned(), Heap(pages=3, bytes=900 * MB), 15))) == 3


def test_key_chunks_are_open_at_both_ends():
    chunks = list(key_chunks(planned(), "id", [10, 20], 3 * MB))
    assert [(one.first, one.last) for one in chunks] == [(None, 10), (10, 20), (20, None)]


def test_tables_take_turns_where_their_keys_are_there_before_the_rows():
    cut = [
        Chunk(table=table, number=number) for table, parts in (("a", 3), ("b", 2), ("c", 1)) for number in range(parts)
    ]
    assert [one.about[0] + str(one.number) for one in in_turns(cut)] == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_small_chunks_share_a_job_and_a_large_one_has_its_own():
    sizes = [100 * MB, 64 * MB, 30 * MB, 30 * MB, 30 * MB, 1, 1]
    chunks = [Chunk(table=f"t{number}", number=0, bytes=size) for number, size in enumerate(sizes)]
    jobs = make_jobs(chunks, 64 * MB)
    assert [[one.table for one in job.chunks] for job in jobs] == [["t0"], ["t1"], ["t2", "t3"], ["t4", "t5", "t6"]]
    assert [job.number for job in jobs] == [0, 1, 2, 3]


def test_a_job_has_no_more_chunks_than_it_can_load_within_minutes():
    jobs = make_jobs([Chunk(table=f"t{number}", number=0, bytes=1) for number in range(2 * CHUNKS_PER_JOB + 1)])
    assert [len(job.chunks) for job in jobs] == [CHUNKS_PER_JOB, CHUNKS_PER_JOB, 1]


def test_a_range_of_pages_is_a_range_of_ctids():
    assert (
        range_sql(Chunk(table="t", number=1, by="ctid", first=5, last=9))
        == "ctid >= '(5,0)'::tid AND ctid < '(9,0)'::tid"
    )
    assert range_sql(Chunk(table="t", number=2, by="ctid", first=9)) == "ctid >= '(9,0)'::tid"
    assert range_sql(Chunk(table="t", number=0)) is None


def test_predicates_are_joined_in_brackets():
    assert where_sql("a OR b", None, "c") == " WHERE (a OR b) AND (c)"
    assert where_sql(None) == ""
    assert without_sql([]) is None
    assert without_sql(["(1,2)", "(3,4)"]) == """ctid <> ALL ('{"(1,2)","(3,4)"}'::tid[])"""


def test_columns_are_read_under_their_target_names_by_their_expressions():
    masked = planned().columns[1].model_copy(update={"expression": "md5(name)"})
    table = planned().model_copy(update={"columns": [planned().columns[0], masked]})
    assert select_sql(table, " WHERE x") == (
        'SELECT "id" AS "id", (md5(name))::text AS "Name" FROM "public"."shop$order" WHERE x'
    )


def test_a_small_database_is_cut_finely_and_a_large_one_into_chunks_of_the_setting():
    assert part_bytes(60 * MB, sessions=4, most=64 * MB) == 2 * MB
    assert part_bytes(640 * MB, sessions=4, most=64 * MB) == 20 * MB
    assert part_bytes(100_000 * MB, sessions=4, most=64 * MB) == 64 * MB
    assert part_bytes(0, sessions=1, most=1 * MB) == 1 * MB
