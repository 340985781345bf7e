"""Label sets of LongICLBench, in the order of its code (Li et al. 2024, arXiv 2404.02060)."""


def _labels(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GOEMOTION = _labels(
    """
    admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval
    disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief
    remorse sadness surprise neutral
    """
)
TACRED = _labels(
    """
    org:founded_by per:employee_of org:alternate_names per:cities_of_residence per:children per:title per:siblings
    per:religion per:age org:website per:stateorprovinces_of_residence org:member_of org:top_members/employees
    per:countries_of_residence org:city_of_headquarters org:members org:country_of_headquarters per:spouse
    org:stateorprovince_of_headquarters org:number_of_employees/members org:parents org:subsidiaries per:origin
    org:political/religious_affiliation per:other_family per:stateorprovince_of_birth org:dissolved
    per:date_of_death org:shareholders per:alternate_names per:parents per:schools_attended per:cause_of_death
    per:city_of_death per:stateorprovince_of_death org:founded per:country_of_birth per:date_of_birth
    per:city_of_birth per:charges per:country_of_death
    """
)
DISCOVERY = _labels(
    """
    [no-conn] absolutely, accordingly actually, additionally admittedly, afterward again, already, also,
    alternately, alternatively although, altogether, amazingly, and anyway, apparently, arguably, as_a_result,
    basically, because_of_that because_of_this besides, but by_comparison, by_contrast, by_doing_this, by_then
    certainly, clearly, coincidentally, collectively, consequently conversely curiously, currently, elsewhere,
    especially, essentially, eventually, evidently, finally, first, firstly, for_example for_instance fortunately,
    frankly, frequently, further, furthermore generally, gradually, happily, hence, here, historically, honestly,
    hopefully, however ideally, immediately, importantly, in_contrast, in_fact, in_other_words in_particular,
    in_short, in_sum, in_the_end, in_the_meantime, in_turn, incidentally, increasingly, indeed, inevitably,
    initially, instead, interestingly, ironically, lastly, lately, later, likewise, locally, luckily, maybe,
    meaning, meantime, meanwhile, moreover mostly, namely, nationally, naturally, nevertheless next, nonetheless
    normally, notably, now, obviously, occasionally, oddly, often, on_the_contrary, on_the_other_hand once, only,
    optionally, or, originally, otherwise, overall, particularly, perhaps, personally, plus, preferably, presently,
    presumably, previously, probably, rather, realistically, really, recently, regardless, remarkably, sadly,
    second, secondly, separately, seriously, significantly, similarly, simultaneously slowly, so, sometimes, soon,
    specifically, still, strangely, subsequently, suddenly, supposedly, surely, surprisingly, technically,
    thankfully, then, theoretically, thereafter, thereby, therefore third, thirdly, this, though, thus, together,
    traditionally, truly, truthfully, typically, ultimately, undoubtedly, unfortunately, unsurprisingly, usually,
    well, yet,
    """
)
DIALOGRE = _labels(
    """
    per:alternate_names per:alumni per:place_of_residence per:employee_or_member_of per:girl/boyfriend per:title
    per:positive_impression gpe:residents_of_place org:employees_or_members per:children per:parents per:siblings
    per:spouse per:friends per:negative_impression per:client per:pet per:place_of_work per:boss per:subordinate
    per:acquaintance per:roommate per:dates per:other_family per:age per:visited_place gpe:visitors_of_place
    per:origin per:neighbor per:works per:schools_attended org:students per:major per:date_of_birth
    """
)
