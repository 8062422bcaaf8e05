from leukoscope.foundation import progress


def test_only_the_listener_of_the_block_hears():
    """What is told inside the block is heard, once and by the inner listener; outside it is not."""
    outer, inner = [], []
    progress.tell("before", 0, 1)
    with progress.listening(lambda *news: outer.append(news)):
        progress.tell("outside", 1, 2)
        with progress.listening(lambda *news: inner.append(news)):
            progress.tell("inside", 2, 3)
    progress.tell("after", 3, 3)
    assert outer == [("outside", 1, 2)]
    assert inner == [("inside", 2, 3)]


def test_only_the_reader_of_the_block_is_told():
    """Notes go to the inner reader, once, and not to the listener; outside they go nowhere."""
    outer, inner, news = [], [], []
    progress.note("before")
    with progress.noting(outer.append), progress.listening(lambda *told: news.append(told)):
        progress.note("outside")
        with progress.noting(inner.append):
            progress.note("inside")
    progress.note("after")
    assert (outer, inner, news) == (["outside"], ["inside"], [])
